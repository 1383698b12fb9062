# The node for ROS 2 Humble or Jazzy on an x86-64 computer with an NVIDIA GPU.
#   docker build -f docker/ros2.Dockerfile --build-arg ROS_DISTRO=humble -t pavenet_ros:humble .
#   docker run --rm --gpus all --net=host --ipc=host pavenet_ros:humble image:=/camera/image_raw
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base
SHELL ["/bin/bash", "-c"]
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1 NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && \
    rm -rf /var/lib/apt/lists/*
# CUDA and cuDNN come with the wheel, the driver from the host. The distribution's cv_bridge,
# OpenCV and messages are built for NumPy 1.
RUN pip install 'onnxruntime-gpu[cuda,cudnn]' 'numpy<2'
WORKDIR /ws
COPY . src/pavenet_ros
RUN apt-get update && rosdep update && \
    rosdep install --rosdistro $ROS_DISTRO --from-paths src --ignore-src -y && \
    rm -rf /var/lib/apt/lists/*
RUN . /opt/ros/$ROS_DISTRO/setup.bash && colcon build --packages-select pavenet_ros
# ros2 launch takes no notice of the signal that docker stop sends by default.
STOPSIGNAL SIGINT
ENTRYPOINT ["bash", "-c", ". install/setup.bash && exec ros2 launch pavenet_ros pose.launch.py \"$@\"", "--"]
