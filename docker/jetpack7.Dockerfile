# The node for ROS 2 Jazzy on a Jetson with JetPack 7 (Thor, Orin); build it on the Jetson, where
# onnxruntime takes hours, for there is no wheel for these GPUs.
#   docker build -f docker/jetpack7.Dockerfile -t pavenet_ros:jetpack7 .
#   docker run --rm --runtime nvidia --net=host --ipc=host pavenet_ros:jetpack7 device:=cuda
# JetPack 7.0 and 7.1 have --build-arg JETSON_LINUX=r38.4 --build-arg CUDA=13-0, GPU=110.
ARG JETSON_LINUX=r39.2
ARG CUDA=13-2
ARG GPU="87-real;110-real"

FROM ubuntu:24.04 AS jetson
ARG JETSON_LINUX
ARG CUDA
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all \
    PATH=/usr/local/cuda/bin:$PATH LD_LIBRARY_PATH=/usr/local/cuda/lib64
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl gnupg && \
    curl -sSL https://repo.download.nvidia.com/jetson/jetson-ota-public.asc | \
        gpg --dearmor -o /usr/share/keyrings/nvidia-jetson.gpg && \
    curl -sSLo /usr/share/keyrings/ros-archive-keyring.gpg \
        https://raw.githubusercontent.com/ros/rosdistro/master/ros.key && \
    for part in common som; do \
        echo "deb [signed-by=/usr/share/keyrings/nvidia-jetson.gpg]" \
            "https://repo.download.nvidia.com/jetson/$part $JETSON_LINUX main"; \
    done > /etc/apt/sources.list.d/nvidia-jetson.list && \
    echo "deb [signed-by=/usr/share/keyrings/ros-archive-keyring.gpg]" \
        "http://packages.ros.org/ros2/ubuntu noble main" > /etc/apt/sources.list.d/ros2.list && \
    apt-get update && apt-get install -y --no-install-recommends build-essential python3-pip \
        cuda-toolkit-$CUDA libcudnn9-dev-cuda-13 tensorrt \
        python3-rosdep python3-colcon-common-extensions ros-jazzy-ros-base && \
    rm -rf /var/lib/apt/lists/*

FROM jetson AS onnxruntime
ARG GPU
RUN apt-get update && apt-get install -y --no-install-recommends cmake git python3-dev && \
    rm -rf /var/lib/apt/lists/*
RUN git clone --recursive --branch v1.24.2 https://github.com/microsoft/onnxruntime /onnxruntime
RUN cd /onnxruntime && pip install -r requirements-dev.txt && \
    ./build.sh --config Release --update --build --build_wheel --parallel --skip_tests \
        --allow_running_as_root --compile_no_warning_as_error \
        --use_cuda --cuda_home /usr/local/cuda --cudnn_home /usr \
        --use_tensorrt --tensorrt_home /usr --cmake_extra_defines \
        CMAKE_CUDA_ARCHITECTURES="$GPU" onnxruntime_BUILD_UNIT_TESTS=OFF

FROM jetson
COPY --from=onnxruntime /onnxruntime/build/Linux/Release/dist/*.whl /tmp/
RUN pip install /tmp/*.whl 'numpy<2' && rm /tmp/*.whl
WORKDIR /ws
COPY . src/pavenet_ros
RUN apt-get update && rosdep init && rosdep update && \
    rosdep install --rosdistro jazzy --from-paths src --ignore-src -y && \
    rm -rf /var/lib/apt/lists/*
RUN . /opt/ros/jazzy/setup.bash && colcon build --packages-select pavenet_ros
# ros2 launch takes no notice of the signal that docker stop sends by default.
STOPSIGNAL SIGINT
ENTRYPOINT ["bash", "-c", ". install/setup.bash && exec ros2 launch pavenet_ros pose.launch.py \"$@\"", "--"]
